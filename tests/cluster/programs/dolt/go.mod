module doltdb-operator.dev/cluster/dolt

go 1.26.0

// Dolt 1.83.2. No newer commit of this module can be had here.
require github.com/dolthub/dolt/go v0.40.5-0.20260306010754-a1fdc83b8378
