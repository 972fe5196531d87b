"""Serving: a durable event log, a live recommender, and HTTP around both.

The way of an event: `event_checks` looks it over, `event_store` makes it durable, `model_thread`
shows it to the recommender, and only then is it acknowledged. `engine` joins the three; `app` puts
HTTP in front.
"""
