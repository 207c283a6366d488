"""The routes of the portal."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from airflow_provider_b24.testing.access import Access
from airflow_provider_b24.testing.chatpage import ChatPage
from airflow_provider_b24.testing.company import Company
from airflow_provider_b24.testing.gateway import Gateway


def build_application(
    company: Company,
    access: Access,
    gateway: Gateway,
    *,
    base_url: Callable[[], str],
) -> FastAPI:
    """The application that serves the REST interface, the authorization server and the chat page."""
    app = FastAPI(title="Fake Bitrix24 portal", docs_url=None, redoc_url=None, openapi_url=None)
    # As plain routes: what FastAPI adds to an endpoint is of no use to calls that only the portal reads.
    app.add_route("/rest/{path:path}", gateway.rest, methods=["GET", "POST"])

    async def authorize(request: Request) -> Response:
        query = request.query_params
        if query.get("client_id") != access.client_id:
            return HTMLResponse("<h1>The application is not found</h1>", 400)
        code = access.new_code()
        target = access.redirect_uri
        if not target:
            return HTMLResponse(f"<p>Authorization code, good for 30 seconds:</p><pre id=code>{code}</pre>")
        return RedirectResponse(access.callback(target, code, query.get("state", ""), base_url()), 302)

    async def file(request: Request) -> Response:
        stored = company.files.get(request.path_params["number"])
        if stored is None:
            return Response("not found", 404)
        return Response(stored.content, media_type="application/octet-stream")

    app.add_route("/oauth/token/", gateway.token, methods=["GET"])
    app.add_route("/oauth/authorize/", authorize, methods=["GET"])
    app.add_route("/files/{number:int}/{name:path}", file, methods=["GET"])
    ChatPage(company).add_routes(app)
    return app
