#!/usr/bin/python3
"""docs/session.py KNARR > docs/session.svg: a terminal session with a sandbox, from a real run. Needs root and a machine to try it on.

The commands are typed in a scratch folder below /root; what they print is what is shown.
"""
import html, os, pathlib, shutil, subprocess, sys, tempfile

KNARR = os.path.abspath(sys.argv[1])
WIDTH, LINE = 96, 18

# What is typed, and what is run for it where that is not the same.
SESSION = [
    "cat install.sh",
    "knarr run --host-root --diff --keep=tried box -- sh install.sh",
    "ls /usr/local/bin/tool",
    "knarr diff tried /etc/profile",
    "knarr apply --yes tried /usr/local/bin",
    "knarr run --host-root --write . box -- sh -c 'cat ~/.ssh/id_ed25519; echo built >out'; cat out",
]
SCRIPT = "install -m 755 tool /usr/local/bin/\necho 'export TOOL=1' >>/etc/profile\nrm -f /etc/motd\n"


def main():
    home = pathlib.Path(tempfile.mkdtemp(prefix="session.", dir="/root"))
    try:
        (home / ".ssh").mkdir()
        (home / ".ssh/id_ed25519").write_text("a key\n")
        project = home / "project"
        project.mkdir()
        (project / "install.sh").write_text(SCRIPT)
        (project / "tool").write_text("#!/bin/sh\necho hello\n")
        (home / "bin").mkdir()
        (home / "bin/knarr").symlink_to(KNARR)
        env = dict(os.environ, HOME=str(home), PATH=f"{home}/bin:{os.environ['PATH']}", LC_ALL="C")
        lines = []
        for typed in SESSION:
            command = typed.replace("box -- sh -c", "--env HOME box -- sh -c")
            run = subprocess.run(["bash", "-c", command], cwd=project, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            lines.append(("typed", f"$ {typed}"))
            said = run.stdout.replace(str(home), "~").replace("cannot access", "cannot access")
            lines += [("said", line) for line in said.splitlines()]
        print(picture(lines))
    finally:
        subprocess.run([KNARR, "layers", "--remove", "tried"], stderr=subprocess.DEVNULL)
        for made in ("/usr/local/bin/tool",):
            pathlib.Path(made).unlink(missing_ok=True)
        shutil.rmtree(home)


def picture(lines):
    rows = []
    for kind, line in lines:
        while True:
            rows.append((kind, line[:WIDTH]))
            line = line[WIDTH:]
            if not line:
                break
    height = LINE * len(rows) + 40
    text = "\n".join(
        f'<text class="{kind}" x="16" y="{LINE * number + 36}" xml:space="preserve">{html.escape(row)}</text>' for number, (kind, row) in enumerate(rows)
    )
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 {height}" role="img" aria-label="A terminal session with a sandbox">
<style>
  rect {{ fill: #0d1117; stroke: #30363d }}
  text {{ font: 14px monospace; fill: #c9d1d9 }}
  text.typed {{ fill: #7ee787; font-weight: bold }}
</style>
<rect x="0.5" y="0.5" width="859" height="{height - 1}" rx="8"/>
{text}
</svg>"""


main()
