"""embed.py PAGE CSS JS OUT.c: put style and code into the page, cut it where the data goes, write both parts as C strings."""
import sys

page, css, js, out = sys.argv[1:]
text = lambda path: open(path, encoding="utf-8").read()
whole = text(page).replace("/* page.css */", text(css)).replace("/* page.js */", text(js))
parts = whole.split("<!-- data -->")
assert len(parts) == 2, f"{page}: expected one place for the data"
with open(out, "w") as file:
    file.write('#include "report/page.h"\n')
    for name, part in zip(("before", "after"), parts):
        data = part.encode()
        file.write(f"const size_t report_page_{name}_size = {len(data)};\nconst char report_page_{name}[] = {{\n")
        for i in range(0, len(data), 20):
            file.write(" ".join(f"'\\x{b:02x}'," for b in data[i:i + 20]) + "\n")
        file.write("0};\n")
