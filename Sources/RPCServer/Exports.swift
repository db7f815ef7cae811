// What a program that embeds a server works with: one import is enough.
@_exported public import RPCKeys
@_exported public import RPCProcedures
@_exported public import RPCWire
