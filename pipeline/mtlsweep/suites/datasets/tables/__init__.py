"""The dataset `table`: a CSV or Parquet file whose columns are inputs and targets, described in params.yaml alone."""
