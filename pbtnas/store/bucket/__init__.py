"""A run in a bucket of an object store, by obstore: S3, Google Cloud Storage, Azure and others."""
