"""Answers / and /health for one site, on the port that its file in /etc/hello/sites names."""
import http.server
import pathlib
import socket
import sys

site = sys.argv[1]
port = int(pathlib.Path("/etc/hello/sites", site).read_text())


class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        known = self.path in ("/", "/health")
        body = f"{site} on {socket.gethostname()}\n".encode() if known else b"no such page\n"
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("0.0.0.0", port), Hello).serve_forever()
