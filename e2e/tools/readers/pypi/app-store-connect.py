"""Runs `app-store-connect apps list` with Codemagic's own code, up to its first request to Apple. It reads
the credential from the environment. Prints the token in the request."""

import json
import sys
from importlib.metadata import version

import requests

if sys.argv[1:] == ["--version"]:
    print(version("codemagic-cli-tools"))
    sys.exit()


def print_token(self, request, **_):
    token = request.headers["Authorization"].removeprefix("Bearer ")
    assert request.url.startswith("https://api.appstoreconnect.apple.com/v1/apps"), request.url
    print(json.dumps({"token": token}), flush=True)
    sys.exit()


requests.Session.send = print_token

from codemagic.tools.app_store_connect import AppStoreConnect  # noqa: E402

sys.argv = ["app-store-connect", "apps", "list", "--no-color"]
AppStoreConnect.invoke_cli()
