"""Codemagic's `app-store-connect list-apps`, up to where it would ask Apple: it takes the
credential from its environment, and the token of its first request is printed."""

import json
import sys
from importlib.metadata import version

import requests

if sys.argv[1:] == ["--version"]:
    print(version("codemagic-cli-tools"))
    sys.exit()


def caught(self, request, **_):
    token = request.headers["Authorization"].removeprefix("Bearer ")
    assert request.url.startswith("https://api.appstoreconnect.apple.com/v1/apps"), request.url
    print(json.dumps({"token": token}), flush=True)
    sys.exit()


requests.Session.send = caught

from codemagic.tools.app_store_connect import AppStoreConnect  # noqa: E402

sys.argv = ["app-store-connect", "apps", "list", "--no-color"]
AppStoreConnect.invoke_cli()
