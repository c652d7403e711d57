import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    id("com.android.library")
    id("org.jetbrains.kotlin.android")
}

android {
    namespace = "io.github.linnet"
    compileSdk = 35
    ndkVersion = "28.2.13676358"

    defaultConfig {
        minSdk = 24
        consumerProguardFiles("consumer-rules.pro")
        ndk {
            abiFilters += listOf("arm64-v8a", "armeabi-v7a", "x86_64")
        }
        externalNativeBuild {
            cmake {
                arguments("-DLINNET_BUILD_JNI=ON", "-DLINNET_BUILD_EXAMPLES=OFF")
                // linnet is the static library that prefab exports; linnet_jni holds all that Java needs.
                targets("linnet", "linnet_jni")
            }
        }
    }

    externalNativeBuild {
        cmake {
            path("../../src_cpp/CMakeLists.txt")
            version = "3.22.1"
        }
    }

    // For C and C++ in the app: find_package(linnet REQUIRED CONFIG), then linnet::linnet.
    buildFeatures {
        prefabPublishing = true
    }
    prefab {
        create("linnet") {
            headers = "../../src_cpp/include"
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
