"""What the progress of a session is called while the network looks at an image; widgets tell them apart."""

ENCODING = "Encoding the image"
READING = "Reading what was kept of the image"
