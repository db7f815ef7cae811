"""Compares the files that the initializer writes, as protoc compiles them, with what a server's reflection tells.

    proto_files.py PORT DESCRIPTORS     what protoc --descriptor_set_out has made of them"""

import sys

import grpc
from google.protobuf import descriptor_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

told = ProtoReflectionDescriptorDatabase(grpc.insecure_channel(f"127.0.0.1:{sys.argv[1]}"))
with open(sys.argv[2], "rb") as file:
    compiled = descriptor_pb2.FileDescriptorSet.FromString(file.read()).file
for file in compiled:
    if told.FindFileByName(file.name) != file:
        raise SystemExit(f"{file.name}: reflection tells\n{told.FindFileByName(file.name)}\nthe file has\n{file}")
print(" ".join(sorted(file.name for file in compiled)))
