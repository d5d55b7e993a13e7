"""Price a cart with the offers of its customer."""
