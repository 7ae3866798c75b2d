# shellcheck shell=sh
# Builds kube-proxy, and the API server that it needs, from Debian's source package in a root folder
# ($1) that is then thrown away. The package is in bookworm; the API server needs bullseye's Go.
root=$1 work=$2

sources=$root/etc/apt/sources.list
sed -n 's/^deb \(.*\) bullseye main.*/deb-src \1 bookworm main/p' "$sources" >"$work/sources"
cat "$work/sources" >>"$sources"
chroot "$root" sh -eu <<'END'
apt-get --quiet update
mkdir -p /go/src/k8s.io /out
cd /go/src/k8s.io
apt-get --quiet source -o APT::Sandbox::User=root kubernetes
mv kubernetes-*/ kubernetes
cd kubernetes
export PATH=/usr/lib/go-1.15/bin:$PATH GOPATH=/go GO111MODULE=off CGO_ENABLED=0 HOME=/root
go build -ldflags '-s -w' -o /out/kube-proxy ./cmd/kube-proxy
# The one file of the API server that is generated and not in the package: as `make gen_openapi`
# does, without the rest of that.
go build -o /tmp/openapi-gen ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
inputs=$(grep -R -l --include='*.go' '+k8s:openapi-gen=' vendor/k8s.io pkg cmd plugin |
    grep -v -e vendor/k8s.io/code-generator/ -e vendor/k8s.io/sample-apiserver/ |
    xargs -n 1 dirname | sort -u | sed 's|^|k8s.io/kubernetes/|' | paste -s -d ,)
/tmp/openapi-gen --input-dirs "$inputs" --report-filename /tmp/report \
    --output-package k8s.io/kubernetes/pkg/generated/openapi --output-file-base zz_generated.openapi \
    --go-header-file vendor/k8s.io/code-generator/hack/boilerplate.go.txt
go build -ldflags '-s -w' -o /out/kube-apiserver ./cmd/kube-apiserver
END
cp "$root"/out/* "$work/out/"
