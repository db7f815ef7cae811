// What a program that calls procedures works with: one import is enough.
@_exported public import RPCKeys
@_exported public import RPCNetwork
@_exported public import RPCWire
