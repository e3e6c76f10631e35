// Package provisioner pins the modules of csi-provisioner. It has a module of its own because its libraries are a release behind those of
// the other sidecars; its main package cannot be installed by itself, since it replaces modules.
package provisioner
