"""What is measured, each figure beside the limit it is held against, in the same run."""
