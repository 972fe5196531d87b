"""Why a recommendation is what it is: by event, by voice, by time, and what would be otherwise."""
