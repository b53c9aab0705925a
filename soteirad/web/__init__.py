"""The page, its API and what monitoring reads: a web application in one thread of the hub.

Nothing here imports Starlette, uvicorn, wsproto or prometheus_client before `WebServer.start`: a box without a
page pays nothing.
"""
