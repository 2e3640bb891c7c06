"""Opens reports in headless Chromium as readers do, and holds them to what they promise. Python's standard library alone.

usage: check_report.py --chromium C --ehm E --shots DIR --run RUN PAGE.html ...     each page at 1280 and 390 px, light and dark, without scripts, on paper
       ... --resume 'COMMAND'   serves RUN with ehm report --watch, then goes on with this command, and looks whether the open page follows
"""
import argparse
import base64
import http.client
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

WIDTHS = {"wide": (1280, 900), "phone": (390, 844)}
faults = []
servers = []  # none outlives this program


def fault(where, text):
    faults.append(f"{where}: {text}")
    print(f"  FAULT {where}: {text}", flush=True)


def check(ok, where, text):
    if not ok:
        fault(where, text)
    return ok


class Socket:
    """A WebSocket client (RFC 6455), as far as DevTools needs it."""

    def __init__(self, url):
        host, port, path = re.match(r"ws://([^:/]+):(\d+)(/.*)", url).groups()
        self.s = socket.create_connection((host, int(port)), timeout=60)
        key = base64.b64encode(os.urandom(16)).decode()
        self.s.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            self.buffer += self.s.recv(65536)
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        if b" 101 " not in head.split(b"\r\n")[0]:
            sys.exit(f"DevTools refused the connection: {head[:200]!r}")

    def take(self, n, until):
        while len(self.buffer) < n:
            self.s.settimeout(max(0.01, until - time.monotonic()))
            more = self.s.recv(1 << 20)
            if not more:
                raise ConnectionError("the browser has ended")
            self.buffer += more
        out, self.buffer = self.buffer[:n], self.buffer[n:]
        return out

    def receive(self, until):
        """One whole message, or None when none has begun by then."""
        message = b""
        while True:
            try:
                first, second = self.take(2, until if not message else until + 60)
            except TimeoutError:
                return None
            end = time.monotonic() + 60
            n = second & 127
            if n == 126:
                n = struct.unpack(">H", self.take(2, end))[0]
            elif n == 127:
                n = struct.unpack(">Q", self.take(8, end))[0]
            data = self.take(n, end)
            if first & 15 in (0, 1, 2):
                message += data
                if first & 128:
                    return message
            elif first & 15 == 8:
                raise ConnectionError("the browser has ended")

    def send(self, text):
        data, mask = text.encode(), os.urandom(4)
        n = len(data)
        head = b"\x81" + (bytes([128 | n]) if n < 126 else b"\xfe" + struct.pack(">H", n) if n < 65536 else b"\xff" + struct.pack(">Q", n))
        long = mask * (n // 4 + 1)
        self.s.sendall(head + mask + (int.from_bytes(data, "big") ^ int.from_bytes(long[:n], "big")).to_bytes(n, "big"))


class Browser:
    def __init__(self, program):
        self.profile = tempfile.mkdtemp(prefix="ehm_chromium_")
        args = [program, "--headless=new", "--remote-debugging-port=0", f"--user-data-dir={self.profile}", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage",
                "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions", "--force-color-profile=srgb", "--hide-scrollbars", "about:blank"]
        if os.geteuid() == 0:
            args.insert(1, "--no-sandbox")  # Chromium refuses to run as root otherwise
        self.process = subprocess.Popen(args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port_file, end = os.path.join(self.profile, "DevToolsActivePort"), time.monotonic() + 90
        while not (os.path.exists(port_file) and len(open(port_file).read().split()) == 2):
            if self.process.poll() is not None or time.monotonic() > end:
                sys.exit(f"{program} did not start (exit {self.process.poll()})")
            time.sleep(0.1)
        port, path = open(port_file).read().split()
        self.socket, self.last, self.events = Socket(f"ws://127.0.0.1:{port}{path}"), 0, []

    def call(self, method, session=None, **params):
        self.last += 1
        message = {"id": self.last, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        self.socket.send(json.dumps(message))
        end = time.monotonic() + 120
        while time.monotonic() < end:
            got = self.pump(end)
            if got and got.get("id") == self.last:
                if "error" in got:
                    raise RuntimeError(f"{method}: {got['error']}")
                return got["result"]
        raise TimeoutError(method)

    def pump(self, until):
        raw = self.socket.receive(until)
        got = json.loads(raw) if raw else None
        if got and "method" in got:
            self.events.append(got)
        return got

    def close(self):
        try:
            self.call("Browser.close")
        except (OSError, RuntimeError):
            pass
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.profile, ignore_errors=True)


class Tab:
    def __init__(self, browser, width="wide", theme="light", scripts=True):
        self.b = browser
        self.target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.id = browser.call("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self(domain + ".enable")
        w, h = WIDTHS[width]
        self.width = w
        self("Emulation.setDeviceMetricsOverride", width=w, height=h, deviceScaleFactor=1, mobile=w < 500)
        self("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
        self("Emulation.setFocusEmulationEnabled", enabled=True)  # a page in the background asks for nothing
        if not scripts:
            self("Emulation.setScriptExecutionDisabled", value=True)

    def __call__(self, method, **params):
        return self.b.call(method, self.id, **params)

    def mine(self, method):
        return [e["params"] for e in self.b.events if e["method"] == method and e.get("sessionId") == self.id]

    def open(self, url):
        n = len(self.mine("Page.loadEventFired"))
        self("Page.navigate", url=url)
        end = time.monotonic() + 60
        while len(self.mine("Page.loadEventFired")) == n:
            self.b.pump(end)
            if time.monotonic() > end:
                raise TimeoutError(url)

    def js(self, text):
        got = self("Runtime.evaluate", expression=text, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in got:
            raise RuntimeError(json.dumps(got["exceptionDetails"])[:600])
        return got["result"].get("value")

    def wait(self, text, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.js(text):
                return True
            time.sleep(0.25)
        return False

    def shot(self, path, whole=False):
        params = {"format": "png"}
        if whole:
            size = self("Page.getLayoutMetrics")["cssContentSize"]
            params.update(captureBeyondViewport=True, clip={"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 16000), "scale": 1})
        with open(path, "wb") as f:
            f.write(base64.b64decode(self("Page.captureScreenshot", **params)["data"]))

    def complaints(self):
        out = [f"console.{c['type']}: {[a.get('value', a.get('description')) for a in c['args']]}" for c in self.mine("Runtime.consoleAPICalled") if c["type"] in ("error", "warning", "assert")]
        out += [f"exception: {e['exceptionDetails'].get('exception', {}).get('description', e['exceptionDetails']['text'])}" for e in self.mine("Runtime.exceptionThrown")]
        return out + [f"{e['entry']['source']} {e['entry']['level']}: {e['entry']['text']}" for e in self.mine("Log.entryAdded") if e["entry"]["level"] in ("error", "warning")]

    def requests(self):
        return [r["request"]["url"] for r in self.mine("Network.requestWillBeSent") if not r["request"]["url"].startswith("data:")]

    def close(self):
        self.b.call("Target.closeTarget", targetId=self.target)


# Every piece of text that can be seen: its size on the screen, its contrast to what lies under it, whether it leaves the page, and whether letters of a chart collide.
AUDIT = r"""(() => {
  const out = {width: document.scrollingElement.scrollWidth, inner: document.documentElement.clientWidth, small: [], faint: [], outside: [], collide: [], n: 0, sizes: {}};
  const rgba = s => { const m = s.match(/[\d.]+/g).map(Number); return [m[0], m[1], m[2], m.length > 3 ? m[3] : 1]; };
  const over = (a, b) => [0, 1, 2].map(i => a[i] * a[3] + b[i] * (1 - a[3])).concat(1);
  const lum = c => { const f = c.slice(0, 3).map(v => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * f[0] + 0.7152 * f[1] + 0.0722 * f[2]; };
  const ground = e => { const stack = []; for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor); if (c[3] > 0) stack.push(c); if (c[3] === 1) break; }
    return stack.reverse().reduce((under, c) => over(c, under), rgba(getComputedStyle(document.body).backgroundColor)); };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const seen = [];
  for (let t = walk.nextNode(); t; t = walk.nextNode()) {
    const e = t.parentElement;
    if (!t.data.trim() || e.closest('script,style,title,noscript')) continue;
    const range = document.createRange(); range.selectNodeContents(t);
    const box = range.getBoundingClientRect(), style = getComputedStyle(e);
    if (!box.width || !box.height || style.visibility === 'hidden') continue;
    const svg = e.closest('svg'), scale = svg ? Math.abs(e.getScreenCTM().a) || Math.abs(e.getScreenCTM().b) : 1, px = parseFloat(style.fontSize) * scale;
    const bold = Number(style.fontWeight) >= 700, large = px >= 24 || (px >= 18.66 && bold);
    let ink = rgba(svg ? style.fill : style.color), opacity = 1;
    for (let p = e; p; p = p.parentElement) opacity *= Number(getComputedStyle(p).opacity);
    ink[3] *= opacity;
    const under = ground(e), l = [lum(over(ink, under)), lum(under)].sort((a, b) => b - a), ratio = (l[0] + 0.05) / (l[1] + 0.05);
    const what = `${t.data.trim().slice(0, 40)} (${e.tagName.toLowerCase()}${e.className && e.className.baseVal === undefined ? '.' + e.className : ''})`;
    out.n++;
    const size = (svg ? 'chart ' : 'text ') + Math.round(px * 10) / 10; out.sizes[size] = (out.sizes[size] || 0) + 1;
    if (px < (svg ? 12 : 15) - 0.01) out.small.push(`${what}: ${px.toFixed(1)} px`);
    if (ratio < (large ? 3 : 4.5)) out.faint.push(`${what}: ${ratio.toFixed(2)}`);
    if (!e.closest('.scroll,.reel,pre,nav') && (box.left < -0.5 || box.right > out.inner + 0.5)) out.outside.push(`${what}: ${box.left.toFixed(0)} .. ${box.right.toFixed(0)}`);
    if (svg) seen.push([svg, box, t.data.trim()]);
  }
  for (let i = 0; i < seen.length; i++) for (let k = i + 1; k < seen.length && seen[k][0] === seen[i][0]; k++) {
    const a = seen[i][1], b = seen[k][1];
    if (a.left + 1 < b.right && b.left + 1 < a.right && a.top + 2 < b.bottom && b.top + 2 < a.bottom) out.collide.push(`${seen[i][2]} / ${seen[k][2]}`);
  }
  return out;
})()"""

SECTIONS = "[...document.querySelectorAll('nav a')].map(a=>{var s=document.querySelector(a.getAttribute('href'));return [a.textContent,s?s.offsetHeight:0]})"


def audit(tab, where):
    tab.js("document.querySelectorAll('details').forEach(e=>{e.open=true})")
    a = tab.js(AUDIT)
    check(a["width"] <= tab.width, where, f"the page is {a['width']} px wide on {tab.width}")
    check(a["n"] > 40, where, f"only {a['n']} pieces of text are seen")
    for key, name in (("small", "too small"), ("faint", "contrast"), ("outside", "leaves the page"), ("collide", "letters of a chart collide")):
        for text in a[key][:6]:
            fault(where, f"{name}: {text}")
        if len(a[key]) > 6:
            fault(where, f"{name}: {len(a[key])} in all")
    tab.js("document.querySelectorAll('details').forEach(e=>{e.open=false})")
    return a


def hover(tab, where, shots, name):
    """A pointer over the first curve brings up its value; over each chart, for errors."""
    n = tab.js("document.querySelectorAll('svg.plot').length")
    shown = 0
    for i in range(n):
        spot = tab.js(f"(()=>{{var e=document.querySelectorAll('svg.plot')[{i}];if(!e.checkVisibility()||!e.getBoundingClientRect().width)return null;e.scrollIntoView({{block:'center',behavior:'instant'}});"
                      "var r=e.getBoundingClientRect();return [r.left+r.width*0.55,r.top+r.height*0.5]})()")
        if not spot:
            continue
        tab("Input.dispatchMouseEvent", type="mouseMoved", x=spot[0], y=spot[1])
        text = tab.js(f"(()=>{{var h=document.querySelectorAll('svg.plot')[{i}].closest('figure').querySelector('.hint:not([hidden])');return h?h.textContent:''}})()")
        check(re.search(r"\d", text), where, f"chart {i}: no value where the pointer is")
        box = tab.js("(()=>{var h=document.querySelector('.hint:not([hidden])');if(!h)return null;var r=h.getBoundingClientRect();return [r.left,r.right]})()")
        check(not box or (box[0] >= -1 and box[1] <= tab.width + 1), where, f"chart {i}: the value leaves the page: {box}")
        if not shown:
            tab.shot(os.path.join(shots, f"{name}_hover.png"))
        shown += 1
    check(shown > 0, where, "no chart is seen")


def slide(tab, where):
    """The slider, by keys, brings up an earlier picture."""
    picture = "(()=>{var f=[...document.querySelectorAll('.reel figure')].filter(e=>e.offsetHeight>0);return f.length?f.map(e=>e.dataset.step).join(' '):null})()"
    before = tab.js(picture)
    if not check(before and tab.js("!!document.querySelector('.slider input')"), where, "no slider"):
        return
    tab.js("document.querySelector('.slider input').focus()")
    for kind in ("keyDown", "keyUp"):
        tab("Input.dispatchKeyEvent", type=kind, key="ArrowLeft", code="ArrowLeft", windowsVirtualKeyCode=37)
    earlier = tab.js(picture)
    check(before != earlier, where, f"the slider does not change the picture of step {before}")
    tab.js("document.querySelector('.slider button[data-by=\"1\"]').click()")
    check(tab.js(picture) == before, where, "the later button does not lead back")
    check(tab.js("[...document.querySelectorAll('.reel img')].every(i=>i.complete&&i.naturalWidth>0)"), where, "a picture cannot be shown")


def look_at(browser, page, shots, slider):
    url, name = "file://" + os.path.abspath(page), os.path.splitext(os.path.basename(page))[0]
    for width in WIDTHS:
        for theme in ("light", "dark"):
            where = f"{name} {width} {theme}"
            tab = Tab(browser, width, theme)
            tab.open(url)
            a = audit(tab, where)
            tab.shot(os.path.join(shots, f"{name}_{width}_{theme}.png"), whole=True)
            hover(tab, where, shots, f"{name}_{width}_{theme}")
            if slider:
                slide(tab, where)
            for text in tab.complaints():
                fault(where, text)
            check(tab.requests() == [url], where, f"asks for other addresses: {tab.requests()}")
            print(f"{where}: {a['n']} pieces of text, sizes {dict(sorted(a['sizes'].items()))}", flush=True)
            tab.close()
    where = f"{name} without scripts"
    tab = Tab(browser, "wide", "light", scripts=False)
    tab.open(url)
    sections = tab.js(SECTIONS)
    check(len(sections) >= 5 and all(h > 20 for _, h in sections), where, f"sections: {sections}")
    check(tab.js("!document.documentElement.classList.contains('js')"), where, "scripts ran")
    check(tab.js("[...document.querySelectorAll('.slider')].every(e=>!e.offsetHeight)"), where, "a slider that does nothing is shown")
    n, seen = tab.js("(()=>{var f=[...document.querySelectorAll('.reel figure')];return [f.length,f.filter(e=>e.offsetHeight>0).length]})()")
    check(n == seen, where, f"{seen} of {n} pictures are shown")
    audit(tab, where)
    tab.shot(os.path.join(shots, f"{name}_noscript.png"), whole=True)
    check(tab.requests() == [url], where, f"asks for other addresses: {tab.requests()}")
    for text in tab.complaints():  # that a script was held back is no fault
        if "scripting is disabled" not in text and "Blocked script" not in text:
            fault(where, text)
    tab.close()
    where = f"{name} on paper"
    tab = Tab(browser)
    tab.open(url)
    pdf = base64.b64decode(tab("Page.printToPDF", printBackground=False, paperWidth=8.27, paperHeight=11.69)["data"])
    pages = len(re.findall(rb"/Type\s*/Page\b", pdf))
    check(pdf[:5] == b"%PDF-" and 1 <= pages <= 60, where, f"{len(pdf)} bytes, {pages} pages")
    with open(os.path.join(shots, f"{name}.pdf"), "wb") as f:
        f.write(pdf)
    print(f"{where}: {pages} pages", flush=True)
    tab.close()


# ---- ehm report --watch ----

def ask(port, method, path, host, body=None):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    c.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    if host:
        c.putheader("Host", host)
    if body:
        c.putheader("Content-Length", str(len(body)))
    c.endheaders(body)
    r = c.getresponse()
    text = r.read()
    c.close()
    return r.status, dict(r.getheaders()), text


def refuse(port):
    here = f"127.0.0.1:{port}"
    for status, method, path, host, body in ((200, "GET", "/", here, None), (200, "HEAD", "/", f"localhost:{port}", None), (404, "GET", "/config.json", here, None), (404, "GET", "/../metrics.jsonl", here, None),
                                             (405, "POST", "/", here, b"x=1"), (405, "DELETE", "/", here, None), (421, "GET", "/", "evil.example", None), (421, "GET", "/", f"evil.example:{port}", None),
                                             (400, "GET", "/", None, None)):
        got, fields, text = ask(port, method, path, host, body)
        check(got == status, "server", f"{method} {path} of {host}: {got}, not {status}")
        check("default-src 'none'" in fields.get("Content-Security-Policy", ""), "server", f"{status}: no Content-Security-Policy")
        check(fields.get("X-Content-Type-Options") == "nosniff" and "Access-Control-Allow-Origin" not in fields, "server", f"{status}: {fields}")
        check(status == 200 or b"loss" not in text, "server", f"{status}: says too much")
    for other in ("127.0.0.2", socket.gethostbyname(socket.gethostname())):
        if other == "127.0.0.1":
            continue
        try:
            socket.create_connection((other, port), timeout=2).close()
            fault("server", f"answers on {other} too")
        except OSError:
            pass


def served(ehm, run, *more):
    p = subprocess.Popen([ehm, "report", run, "--watch", "--json", *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    servers.append(p)
    line = p.stdout.readline()
    if not line:
        sys.exit(f"ehm report --watch: {p.stderr.read()}")
    return p, json.loads(line)


def watch(browser, ehm, run, resume, shots):
    server, at = served(ehm, run)
    url, port = at["url"], at["port"]
    check(url == f"http://127.0.0.1:{port}/", "server", url)
    second = subprocess.run([ehm, "report", run, "--watch", "--port", str(port)], capture_output=True, text=True, timeout=60)
    check(second.returncode == 1 and "already in use" in second.stderr, "server", f"a taken port: {second.returncode} {second.stderr}")
    refuse(port)
    slow = socket.create_connection(("127.0.0.1", port))
    slow.sendall(b"GET / HT")  # half a request, which holds up nobody

    where = "watched page"
    tab, blind = Tab(browser, "wide", "light"), Tab(browser, "phone", "light", scripts=False)
    tab.open(url)
    blind.open(url)
    tab("Page.bringToFront")
    sections = blind.js(SECTIONS)
    check(len(sections) >= 5 and all(h > 20 for _, h in sections), where, f"without scripts, sections: {sections}")
    check(tab.wait("!!document.querySelector('#live')", 10), where, "does not say that it follows the run")
    audit(tab, where)
    tab.shot(os.path.join(shots, "watched_before.png"))
    loads, first = len(blind.mine("Page.loadEventFired")), tab.js("document.querySelector('main').textContent.length")
    # What a reader has done to the page, and a mark that a reload would take away.
    tab.js("document.querySelector('#settings details').open=true")
    slider = tab.js("!!document.querySelector('.slider input')")
    if slider:
        tab.js("(()=>{var i=document.querySelector('.slider input');i.value='0';i.dispatchEvent(new Event('input'))})()")
    tab.js("window.same=1;document.querySelector('#data').scrollIntoView({behavior:'instant'})")
    y = tab.js("scrollY")
    state = "document.querySelector('.badge').textContent"
    check(tab.js(state) != "finished", where, "finished before it went on")
    at0 = tab.js("(()=>{var o=document.querySelector('.slider output');return o?o.textContent:''})()")
    go = subprocess.run(resume, shell=True, capture_output=True, text=True, timeout=600)
    check(go.returncode == 0, where, f"{resume}: {go.stderr[-400:]}")
    followed = tab.wait(f"{state}==='finished'", 30)
    check(followed, where, f"still says {tab.js(state)!r} after the run has ended")
    check(tab.js("window.same") == 1, where, "was loaded anew instead of being renewed")
    check(tab.js("document.querySelector('main').textContent.length") != first, where, "shows nothing new")
    check(tab.js("document.querySelector('#settings details').open"), where, "closed what its reader had opened")
    now = tab.js("scrollY")
    top = tab.js("document.querySelector('#data').getBoundingClientRect().top")
    check(abs(now - y) < 400 and y > 100, where, f"jumped from {y} to {now} (data at {top})")
    if slider:
        check(tab.js("document.querySelector('.slider input').value") == "0", where, "the slider moved")
        check(tab.js("document.querySelector('.slider output').textContent") == at0, where, f"the slider shows another step than {at0}")
    hover(tab, where, shots, "watched")
    audit(tab, where)
    tab.js("scrollTo(0,0)")
    tab.shot(os.path.join(shots, "watched_after.png"))
    check(all(u == url for u in tab.requests() + blind.requests()), where, f"other addresses are asked for: {set(tab.requests() + blind.requests())}")
    for text in tab.complaints():
        fault(where, text)
    end = time.monotonic() + 25
    while len(blind.mine("Page.loadEventFired")) <= loads and time.monotonic() < end:
        browser.pump(time.monotonic() + 0.5)
    check(len(blind.mine("Page.loadEventFired")) > loads, where, "without scripts it does not reload itself")
    check(blind.wait("(document.querySelector('.badge')||{}).textContent==='finished'", 25), where, "without scripts it stays behind")
    blind.close()
    slow.close()
    server.send_signal(signal.SIGINT)
    code = server.wait(20)
    check(code == 130, "server", f"exit {code} after Ctrl-C")
    check(tab.wait("document.querySelector('#live').textContent.indexOf('ended')>=0", 40), where, "does not say that the server has ended")
    tab.shot(os.path.join(shots, "watched_ended.png"))
    tab.close()
    server, at = served(ehm, run, "--until-done")
    check(server.wait(30) == 0, "server", "--until-done of a finished run does not end with 0")
    print("served page: followed the run" if followed else "served page: did not follow", flush=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--chromium", required=True)
    p.add_argument("--ehm", required=True)
    p.add_argument("--shots", required=True)
    p.add_argument("--run")
    p.add_argument("--resume")
    p.add_argument("pages", nargs="*")
    a = p.parse_args()
    os.makedirs(a.shots, exist_ok=True)
    browser = Browser(a.chromium)
    try:
        for page in a.pages:
            look_at(browser, page, a.shots, slider=True)
        if a.run:
            watch(browser, a.ehm, a.run, a.resume, a.shots)
    finally:
        for server in servers:
            if server.poll() is None:
                server.kill()
        browser.close()
    print(f"screenshots are in {a.shots}")
    if faults:
        sys.exit(f"{len(faults)} faults")


main()
