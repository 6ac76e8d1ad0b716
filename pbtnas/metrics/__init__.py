"""Measures of generated images: FID, inception score and their statistics."""
