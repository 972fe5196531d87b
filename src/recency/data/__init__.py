"""The data's way from a file to ragged histories; numpy and polars only."""
