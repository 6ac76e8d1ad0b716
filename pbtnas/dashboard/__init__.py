"""Shows runs and studies on a web page that follows them."""
