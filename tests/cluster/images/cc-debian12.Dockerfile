# Stands in for gcr.io/distroless/cc-debian12:nonroot: the C runtime and the user, no shell.
# The real one also has certificates and time zones, which nothing needs where no other network is reached.
FROM scratch
COPY rootfs /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
USER 65532:65532
WORKDIR /home/nonroot
