import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    id("com.android.application")
    id("org.jetbrains.kotlin.android")
}

// `make android-sample` makes voice.linnet, mel.f32 and sentences.txt.
val sampleAssets = rootDir.resolve("../build/android/assets")

android {
    namespace = "io.github.linnet.sample"
    compileSdk = 35

    defaultConfig {
        applicationId = "io.github.linnet.sample"
        minSdk = 24
        targetSdk = 35
        versionCode = 1
        versionName = "0.1"
    }

    sourceSets.getByName("main").assets.srcDir(sampleAssets)

    buildTypes {
        release {
            isMinifyEnabled = true
            proguardFiles(getDefaultProguardFile("proguard-android-optimize.txt"))
            signingConfig = signingConfigs.getByName("debug") // a sample, never published
        }
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_11
        targetCompatibility = JavaVersion.VERSION_11
    }
}

kotlin {
    compilerOptions {
        jvmTarget.set(JvmTarget.JVM_11)
    }
}

dependencies {
    implementation(project(":linnet"))
}

tasks.named("preBuild") {
    val needed = listOf("voice.linnet", "mel.f32", "sentences.txt").map(sampleAssets::resolve)
    doFirst {
        for (file in needed) {
            require(file.exists()) { "$file is missing: `make android-sample` in linnet's folder makes it" }
        }
    }
}
