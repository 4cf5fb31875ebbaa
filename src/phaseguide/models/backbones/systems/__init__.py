"""Systems that the field compares, each as published: an encoder, a decoder and a head in one file."""
