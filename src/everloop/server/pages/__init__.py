"""The web UI: pages that the server renders from use cases, with pictures as inline SVG and no build step."""
