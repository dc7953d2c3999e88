"""The REST calls of `protocol.api`: signed requests, checked answers, refusals as errors.

`RestClient` makes requests, `Calls` authenticates them; `RestApi` has the calls, each resource of the server a module.
"""
