"""HTTP: routes, bodies, errors, keys at the door and counters; `recency.serving.app` joins them."""
