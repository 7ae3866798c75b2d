"""The installed files, with their modes."""

SHARE = "usr/share/ipvs-estoff-guard"
FILES = {
    "etc/ipvs-estoff-guard/guard.conf": 0o644,
    "usr/lib/systemd/catalog/ipvs-estoff-guard.catalog": 0o644,
    "usr/lib/systemd/system/ipvs-estoff-guard.service": 0o644,
    "etc/sos/extras.d/ipvs-estoff-guard": 0o644,
    "usr/sbin/ipvsd": 0o755,
    "usr/share/bash-completion/completions/ipvsd": 0o644,
    f"{SHARE}/__main__.py": 0o644,
    "usr/share/man/man5/ipvs-estoff-guard.conf.5.gz": 0o644,
    "usr/share/man/man8/ipvs-estoff-guard.8.gz": 0o644,
    "usr/share/man/man8/ipvsd.8.gz": 0o644,
}
