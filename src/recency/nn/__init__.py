"""Neural parts: encoders of histories, encodings of time, the model around them and its loss."""
