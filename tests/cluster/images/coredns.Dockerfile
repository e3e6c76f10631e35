# The cluster's DNS server.
FROM scratch
COPY coredns /coredns
ENTRYPOINT ["/coredns"]
