"""A voice's networks as ONNX models."""
