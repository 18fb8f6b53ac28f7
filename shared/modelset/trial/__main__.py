"""The child process of a trial: `python -m modelset.trial`, with an order on its standard input."""

from modelset.trial.child import serve

if __name__ == "__main__":
    serve()
