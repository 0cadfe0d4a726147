"""Motion tokens: a residual VQ-VAE as MoMask's, trained on windows of motions."""
