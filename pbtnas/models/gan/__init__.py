"""The networks and search spaces of the paper's GAN searches."""
