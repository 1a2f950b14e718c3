// Package network describes a transit network that may be built: stations,
// candidate links with their travel time and construction cost, and the demand
// between stations with the competing mode and the operator's margin. It reads
// and writes the project's own format (a folder of one YAML and three CSV
// files, see [Read]), reads TNTP files, holds three built-in networks and
// generates grid cities.
package network
