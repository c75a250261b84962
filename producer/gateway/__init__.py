"""The HTTP front: ECS OpenAPI 2014-05-26 as the official SDKs speak it, health and metrics.

Transport, signatures, parameters and answers live here. What an action does lives in the producer's API.
"""
