"""Data files of the package; DATA_LICENSE says where they come from and on what terms."""
