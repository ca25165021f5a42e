#!/usr/bin/env python3
# deploy/images/build.py - kairo's images as an OCI layout, without a container engine.
"""usage: build.py BUILD OUT [--only kairo] [--cuda] [--ca FILE] [--push REGISTRY/PREFIX]

BUILD   a build folder with kairo, kairo-tune and kairo-serve (make programs)
OUT     the OCI layout to write; what it held before is replaced
--only  kairo: without the engine's image, which takes half a minute to compress
--cuda  kairo-engine-cuda too, which takes minutes (deploy/setup/cuda.sh fetches what it holds)
--ca    certificates (PEM) of your own authorities, which the images then trust besides Debian's: a private registry's
--push  copies each image there with skopeo, tagged with kairo's version

  kairo         the agents and the pods' helpers (fetch, pull): one program and the libraries that it is linked with
  kairo-engine  the same, and the trainer and the server with libtorch's CPU library
  kairo-engine-cuda  the same, and kairo's kernels and libtorch's CUDA half with NVIDIA's libraries, for pods with a GPU

The same programs and the same Debian packages give the same bytes: sorted names, owner 0, one date, no build paths.
What is in an image is printed, and lies in it with its licences (/usr/share/doc)."""
import argparse
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import pathlib
import subprocess
import sys
import tarfile
import tempfile

DATE = 0  # of every file; an image that holds the same is the same
LIBRARIES = "usr/lib/x86_64-linux-gnu"
ALSO_ON_CPU = {"libc10.so", "libtorch_cpu.so", "libgomp.so.1", "libcudart.so.13", "libcupti.so.13"}
LINKED_IN = {"librocksdb-dev"}  # packages whose library is a part of our programs
USER = 65532  # of nobody on any machine
PASSWD = f"root:x:0:0:root:/:/sbin/nologin\nkairo:x:{USER}:{USER}:kairo:/var/lib/kairo:/sbin/nologin\n"
GROUP = f"root:x:0:\nkairo:x:{USER}:\n"


def fail(text):
    sys.exit(f"deploy/images/build.py: {text}")


def output_of(*command):
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except FileNotFoundError:
        fail(f"{command[0]} is not installed; run make deps")
    except subprocess.CalledProcessError as error:
        fail(f"{' '.join(command)}: {error.stderr.strip()}")


class Layer:
    def __init__(self, title):
        self.title, self.files = title, {}  # path without the first / -> (mode, bytes, or a file that has them, or link target)

    def put(self, path, content, mode=0o644):
        self.files[path] = (mode, content)

    def copy(self, path, source, mode=0o644):
        with open(source, "rb") as file:
            self.put(path, file.read(), mode)

    def link(self, path, target):
        self.files[path] = (None, target)

    def folder(self, path, mode=0o755):
        self.files[path] = (mode, None)

    def tar(self):
        folders = {"/".join(path.split("/")[:n]) for path in self.files for n in range(1, path.count("/") + 1)}
        for path in folders - self.files.keys():
            self.folder(path)
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for path in sorted(self.files):
                mode, content = self.files[path]
                entry = tarfile.TarInfo(path)
                entry.mtime, entry.mode = DATE, 0o777 if mode is None else mode
                if mode is None:
                    entry.type, entry.linkname = tarfile.SYMTYPE, content
                elif content is None:
                    entry.type = tarfile.DIRTYPE
                    if path == "var/lib/kairo":
                        entry.uid = entry.gid = USER
                else:
                    content = content.read_bytes() if isinstance(content, pathlib.Path) else content
                    entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content) if isinstance(content, bytes) else None)
        return out.getvalue()


def libraries_of(program):
    """soname -> the file, for all that the program is linked with."""
    out = {}
    for line in output_of("ldd", program).splitlines():
        found = re.match(r"\s*(\S+) => (\S+) \(", line)
        if "not found" in line:
            fail(f"{program}: {line.strip()}")
        if found:
            out[found[1]] = os.path.realpath(found[2])
    return out


def put_program(layer, build, name, place="usr/bin"):
    with tempfile.TemporaryDirectory() as folder:
        output_of("strip", "-o", f"{folder}/{name}", f"{build}/{name}")
        with open(f"{folder}/script.cmake", "w", encoding="utf-8") as script:
            script.write(f'file(RPATH_REMOVE FILE "{folder}/{name}")\n')  # where libtorch lay when it was linked
        output_of("cmake", "-P", script.name)
        layer.copy(f"{place}/{name}", f"{folder}/{name}", 0o755)


def put_debian(layer, libraries):
    packages = set()
    for soname, file in libraries.items():
        layer.copy(f"{LIBRARIES}/{soname}", file)
        owner = subprocess.run(["dpkg", "-S", file, file.removeprefix("/usr")], capture_output=True, text=True, check=False)
        packages |= {line.split(":")[0] for line in owner.stdout.splitlines()}
    packages |= LINKED_IN
    for package in sorted(packages | {"ca-certificates", "tzdata"}):
        if os.path.exists(f"/usr/share/doc/{package}/copyright"):
            layer.copy(f"usr/share/doc/{package}/copyright", f"/usr/share/doc/{package}/copyright")
    return sorted(packages)


def base_layer(libraries):
    layer = Layer("base")
    loader = "lib64/ld-linux-x86-64.so.2"
    layer.copy(loader, os.path.realpath("/" + loader), 0o755)
    layer.link("lib", "usr/lib")
    packages = put_debian(layer, libraries)
    layer.copy("etc/ssl/certs/ca-certificates.crt", "/etc/ssl/certs/ca-certificates.crt")
    layer.put("etc/passwd", PASSWD.encode())
    layer.put("etc/group", GROUP.encode())
    layer.put("etc/nsswitch.conf", b"passwd: files\ngroup: files\nhosts: files dns\n")
    layer.folder("tmp", 0o1777)
    layer.folder("var/lib/kairo", 0o700)
    return layer, packages


def authorities_layer(file):
    layer = Layer("authorities")
    with open(file, "rb") as own, open("/etc/ssl/certs/ca-certificates.crt", "rb") as known:
        certificates = own.read()
        if b"-----BEGIN CERTIFICATE-----" not in certificates:
            fail(f"{file} holds no certificate in PEM")
        layer.put("etc/ssl/certs/ca-certificates.crt", known.read() + certificates)
    return [layer]


def cuda_layers(build, libtorch_cpu):
    """A layer for each of NVIDIA's libraries, which are fetched side by side, and one with kairo's kernels."""
    cuda = os.path.join(os.path.dirname(libtorch_cpu), "libtorch_cuda.so")
    if not os.path.exists(cuda):
        fail(f"{cuda} is not there; run deploy/setup/cuda.sh")
    site = os.path.realpath(os.path.join(os.path.dirname(cuda), "..", ".."))
    layers = {}
    for soname, file in sorted({**libraries_of(cuda), "libtorch_cuda.so": cuda}.items()):
        if not file.startswith(site) or soname in ALSO_ON_CPU:
            continue
        title = "libtorch-cuda" if "/torch/lib/" in file else soname.removeprefix("lib").partition(".")[0]
        layers.setdefault(title, Layer(title)).put(f"{LIBRARIES}/{soname}", pathlib.Path(file))
    licences = Layer("nvidia-licences")
    for text in sorted(pathlib.Path(site).glob("nvidia_*.dist-info/**/License.txt")):  # cusparselt has none
        licences.put(f"usr/share/doc/{text.relative_to(site).parts[0].partition('-')[0]}/copyright", text)
    kernels = Layer("kernels")
    put_program(kernels, build, "libkairo_cuda.so", "usr/lib/kairo")
    return [*layers.values(), licences, kernels]


class Layout:
    def __init__(self, folder):
        self.folder, self.manifests, self.written = folder, [], {}
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(f"{folder}/blobs/sha256")

    def blob(self, content, media_type):
        digest = hashlib.sha256(content).hexdigest()
        with open(f"{self.folder}/blobs/sha256/{digest}", "wb") as file:
            file.write(content)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    def layer(self, layer):
        if layer.title not in self.written:  # images share them
            tar = layer.tar()
            packed = gzip.compress(tar, 6, mtime=0)
            blob = self.blob(packed, "application/vnd.oci.image.layer.v1.tar+gzip")
            self.written[layer.title] = (blob, f"sha256:{hashlib.sha256(tar).hexdigest()}", len(tar))
        return self.written[layer.title]

    def image(self, name, version, layers, entrypoint, environment=()):
        parts = [self.layer(layer) for layer in layers]
        labels = {"org.opencontainers.image.title": name, "org.opencontainers.image.version": version,
                  "org.opencontainers.image.licenses": "Apache-2.0"}
        config = {"architecture": "amd64", "os": "linux",
                  "config": {"User": f"{USER}:{USER}", "Entrypoint": entrypoint, "WorkingDir": "/var/lib/kairo",
                             "Env": ["PATH=/usr/bin", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt", *environment],
                             "Labels": labels},
                  "rootfs": {"type": "layers", "diff_ids": [diff for _, diff, _ in parts]},
                  "history": [{"created_by": f"deploy/images/build.py: {layer.title}"} for layer in layers]}
        manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "config": self.blob(encode(config), "application/vnd.oci.image.config.v1+json"),
                    "layers": [blob for blob, _, _ in parts], "annotations": labels}
        entry = self.blob(encode(manifest), manifest["mediaType"])
        entry |= {"platform": {"architecture": "amd64", "os": "linux"},
                  "annotations": {"org.opencontainers.image.ref.name": name}}
        self.manifests.append(entry)
        packed, plain = sum(blob["size"] for blob, _, _ in parts), sum(size for _, _, size in parts)
        print(f"  {name:18}{packed / 1e6:9.1f}{plain / 1e6:11.1f}  {entry['digest'][:19]}  {', '.join(l.title for l in layers)}")

    def close(self):
        index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": self.manifests}
        for name, content in (("index.json", index), ("oci-layout", {"imageLayoutVersion": "1.0.0"})):
            with open(f"{self.folder}/{name}", "wb") as file:
                file.write(encode(content))


def encode(json_value):
    return json.dumps(json_value, sort_keys=True, separators=(",", ":")).encode()


def main():
    parser = argparse.ArgumentParser(usage=__doc__.partition("\n")[0].removeprefix("usage: "), epilog=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("out")
    parser.add_argument("--only", choices=["kairo"])
    parser.add_argument("--cuda", action="store_true")
    parser.add_argument("--ca")
    parser.add_argument("--push")
    options = parser.parse_args()
    for name in ["kairo"] if options.only else ["kairo", "kairo-tune", "kairo-serve"]:
        if not os.access(f"{options.build}/{name}", os.X_OK):
            fail(f"{options.build}/{name} is not there; run make programs")
    version = output_of(f"{options.build}/kairo", "version").splitlines()[-1].split()[1]
    own = libraries_of(f"{options.build}/kairo")
    base, packages = base_layer(own)
    program = Layer("kairo")
    put_program(program, options.build, "kairo")
    own_authorities = authorities_layer(options.ca) if options.ca else []
    layout, images = Layout(options.out), ["kairo"]
    print(f"  {'image':18}{'packed MB':>9}{'plain MB':>11}  {'digest':19}  layers")
    layout.image("kairo", version, [base, program, *own_authorities], ["/usr/bin/kairo"])
    if not options.only:
        engine, torch = Layer("engine"), Layer("libtorch")
        needed = libraries_of(f"{options.build}/kairo-tune") | libraries_of(f"{options.build}/kairo-serve")
        more = {soname: file for soname, file in needed.items() if own.get(soname) != file}
        debian = {soname: file for soname, file in more.items() if file.startswith("/usr/lib/") or file.startswith("/lib/")}
        packages = sorted({*packages, *put_debian(torch, debian)})
        for soname in sorted(more.keys() - debian.keys()):
            torch.copy(f"{LIBRARIES}/{soname}", more[soname])
        for name in ("kairo-tune", "kairo-serve"):
            put_program(engine, options.build, name)
        layout.image("kairo-engine", version, [base, program, torch, engine, *own_authorities], [])
        images.append("kairo-engine")
        if options.cuda:
            more_layers = cuda_layers(options.build, needed["libtorch_cpu.so"])
            # What NVIDIA's container runtime is to give the pod: the driver's libraries.
            layout.image("kairo-engine-cuda", version, [base, program, torch, *more_layers, engine, *own_authorities], [],
                         ["NVIDIA_DRIVER_CAPABILITIES=compute,utility"])
            images.append("kairo-engine-cuda")
        print(f"  kairo-engine has libtorch's {', '.join(sorted(more.keys() - debian.keys()))}")
    layout.close()
    print(f"  Debian's {', '.join(packages)}")
    for name in images if options.push else []:
        is_local = re.match(r"(localhost|127\.0\.0\.1)[:/]", options.push)
        output_of("skopeo", "copy", "-q", *(["--dest-tls-verify=false"] if is_local else []),
                  f"oci:{options.out}:{name}", f"docker://{options.push}/{name}:{version}")
        print(f"  pushed {options.push}/{name}:{version}")


if __name__ == "__main__":
    main()
