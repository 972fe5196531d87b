"""Notes: what one layer leaves in a request's scope for another, for counting, logs and the audit.

Keys of the ASGI scope, each set at most once a request.
"""

KEY = "recency.key"  # serving.keys.Key: whose request it is; unset where none is asked for
CODE = "recency.code"  # str: of the problem that was answered
MODEL = "recency.model_version"  # str: of the weights that answered a question
