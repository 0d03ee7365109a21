"""What a server of the Open Inference Protocol must do, checked with the clients that people have.

`python -m tests.server.inference.conformance URL --grpc ADDRESS` judges any server that serves the models of `models`.
"""
