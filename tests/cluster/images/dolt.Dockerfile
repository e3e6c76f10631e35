# Stands in for docker.io/dolthub/dolt: the same program, the same paths (dolt in /usr/local/bin, tini,
# /bin/sh and bash on PATH), on the same Debian release.
FROM scratch
COPY rootfs /
COPY dolt /usr/local/bin/dolt
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
WORKDIR /var/lib/dolt
EXPOSE 3306 33060 7007
ENTRYPOINT ["tini", "--", "dolt"]
