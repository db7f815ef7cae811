"""Makes a wheel by hand: make_wheel.py FOLDER NAME VERSION SOURCE REQUIREMENT. With lines of code behind these it makes an
archive instead, whose build tries each line and tells in the module how that went."""

import io
import sys
import tarfile
import zipfile

folder, name, version, source, needs = sys.argv[1:6]
info = "%s-%s.dist-info" % (name, version)
files = {name + ".py": source, info + "/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
         info + "/METADATA": "Metadata-Version: 2.1\nName: %s\nVersion: %s\n" % (name, version)
         + ("Requires-Dist: %s\n" % needs if needs else ""),
         info + "/entry_points.txt": "[console_scripts]\nsay-%s = %s:say\n" % (name, name)}
files[info + "/RECORD"] = "".join(file + ",,\n" for file in [*files, info + "/RECORD"])
if len(sys.argv) == 6:
    with zipfile.ZipFile("%s/%s-%s-py3-none-any.whl" % (folder, name, version), "w") as wheel:
        for file, text in files.items():
            wheel.writestr(file, text)
else:
    backend = '''
import os, socket, zipfile
FILES = %r
def prepare_metadata_for_build_wheel(folder, *_):
    name = "%s-%s.dist-info"
    os.mkdir(os.path.join(folder, name))
    for file, text in FILES.items():
        if file.startswith(name):
            with open(os.path.join(folder, file), "w") as opened:
                opened.write(text)
    return name
def attempt(code):
    try:
        exec(code)
    except BaseException as error:
        return type(error).__name__
    return "escaped"
def build_wheel(folder, *_):
    name = "%s-%s-py3-none-any.whl"
    results = [attempt(code) for code in %r]
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        for file, text in FILES.items():
            wheel.writestr(file, text + ("results = %%r\\n" %% results if file.endswith(".py") else ""))
    return name
''' % (files, name, version, name, version, sys.argv[6:])
    project = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    with tarfile.open("%s/%s-%s.tar.gz" % (folder, name, version), "w:gz") as archive:
        for file, text in [("pyproject.toml", project), ("backend.py", backend), ("PKG-INFO", files[info + "/METADATA"])]:
            member = tarfile.TarInfo("%s-%s/%s" % (name, version, file))
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
