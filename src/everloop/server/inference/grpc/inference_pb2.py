"""The messages of inference.proto. Written by `python -m scripts.protocol`: do not edit.

They are in a pool of their own, so that other clients of the protocol may be imported in the same process.
"""

from google.protobuf import descriptor_pool, message_factory

DESCRIPTOR = descriptor_pool.DescriptorPool().AddSerializedFile(
    b'\n\x0finference.proto\x12\tinference"\x13\n\x11ServerLiveRequest"(\n\x12ServerLiveR'
    b'esponse\x12\x12\n\x04live\x18\x01 \x01(\x08R\x04live"\x14\n\x12ServerReadyRequest"+\n\x13ServerReady'
    b'Response\x12\x14\n\x05ready\x18\x01 \x01(\x08R\x05ready"A\n\x11ModelReadyRequest\x12\x12\n\x04name\x18\x01 \x01('
    b'\tR\x04name\x12\x18\n\x07version\x18\x02 \x01(\tR\x07version"*\n\x12ModelReadyResponse\x12\x14\n\x05ready'
    b'\x18\x01 \x01(\x08R\x05ready"\x17\n\x15ServerMetadataRequest"f\n\x16ServerMetadataResponse'
    b'\x12\x12\n\x04name\x18\x01 \x01(\tR\x04name\x12\x18\n\x07version\x18\x02 \x01(\tR\x07version\x12\x1e\n\nextensions\x18\x03 \x03'
    b'(\tR\nextensions"D\n\x14ModelMetadataRequest\x12\x12\n\x04name\x18\x01 \x01(\tR\x04name\x12\x18\n\x07ve'
    b'rsion\x18\x02 \x01(\tR\x07version"\xcf\x02\n\x15ModelMetadataResponse\x12\x12\n\x04name\x18\x01 \x01(\tR\x04na'
    b'me\x12\x1a\n\x08versions\x18\x02 \x03(\tR\x08versions\x12\x1a\n\x08platform\x18\x03 \x01(\tR\x08platform\x12G\n\x06in'
    b'puts\x18\x04 \x03(\x0b2/.inference.ModelMetadataResponse.TensorMetadataR\x06inp'
    b'uts\x12I\n\x07outputs\x18\x05 \x03(\x0b2/.inference.ModelMetadataResponse.TensorMet'
    b'adataR\x07outputs\x1aV\n\x0eTensorMetadata\x12\x12\n\x04name\x18\x01 \x01(\tR\x04name\x12\x1a\n\x08datatype'
    b'\x18\x02 \x01(\tR\x08datatype\x12\x14\n\x05shape\x18\x03 \x03(\x03R\x05shape"\x9d\x08\n\x11ModelInferRequest\x12\x1d\n\n'
    b'model_name\x18\x01 \x01(\tR\tmodelName\x12#\n\rmodel_version\x18\x02 \x01(\tR\x0cmodelVersion'
    b'\x12\x0e\n\x02id\x18\x03 \x01(\tR\x02id\x12L\n\nparameters\x18\x04 \x03(\x0b2,.inference.ModelInferReque'
    b'st.ParametersEntryR\nparameters\x12E\n\x06inputs\x18\x05 \x03(\x0b2-.inference.Model'
    b'InferRequest.InferInputTensorR\x06inputs\x12Q\n\x07outputs\x18\x06 \x03(\x0b27.inferen'
    b'ce.ModelInferRequest.InferRequestedOutputTensorR\x07outputs\x12,\n\x12raw_'
    b'input_contents\x18\x07 \x03(\x0cR\x10rawInputContents\x1a\xcd\x02\n\x10InferInputTensor\x12\x12\n\x04n'
    b'ame\x18\x01 \x01(\tR\x04name\x12\x1a\n\x08datatype\x18\x02 \x01(\tR\x08datatype\x12\x14\n\x05shape\x18\x03 \x03(\x03R\x05shap'
    b'e\x12]\n\nparameters\x18\x04 \x03(\x0b2=.inference.ModelInferRequest.InferInputTe'
    b'nsor.ParametersEntryR\nparameters\x12:\n\x08contents\x18\x05 \x01(\x0b2\x1e.inference.I'
    b'nferTensorContentsR\x08contents\x1aX\n\x0fParametersEntry\x12\x10\n\x03key\x18\x01 \x01(\tR\x03ke'
    b'y\x12/\n\x05value\x18\x02 \x01(\x0b2\x19.inference.InferParameterR\x05value:\x028\x01\x1a\xf3\x01\n\x1aInfer'
    b'RequestedOutputTensor\x12\x12\n\x04name\x18\x01 \x01(\tR\x04name\x12g\n\nparameters\x18\x02 \x03(\x0b2G.'
    b'inference.ModelInferRequest.InferRequestedOutputTensor.Parameter'
    b'sEntryR\nparameters\x1aX\n\x0fParametersEntry\x12\x10\n\x03key\x18\x01 \x01(\tR\x03key\x12/\n\x05value'
    b'\x18\x02 \x01(\x0b2\x19.inference.InferParameterR\x05value:\x028\x01\x1aX\n\x0fParametersEntry\x12'
    b'\x10\n\x03key\x18\x01 \x01(\tR\x03key\x12/\n\x05value\x18\x02 \x01(\x0b2\x19.inference.InferParameterR\x05val'
    b'ue:\x028\x01"\xdf\x05\n\x12ModelInferResponse\x12\x1d\n\nmodel_name\x18\x01 \x01(\tR\tmodelName\x12#\n\r'
    b'model_version\x18\x02 \x01(\tR\x0cmodelVersion\x12\x0e\n\x02id\x18\x03 \x01(\tR\x02id\x12M\n\nparameters\x18'
    b'\x04 \x03(\x0b2-.inference.ModelInferResponse.ParametersEntryR\nparameters'
    b'\x12I\n\x07outputs\x18\x05 \x03(\x0b2/.inference.ModelInferResponse.InferOutputTens'
    b'orR\x07outputs\x12.\n\x13raw_output_contents\x18\x06 \x03(\x0cR\x11rawOutputContents\x1a\xd0\x02\n\x11'
    b'InferOutputTensor\x12\x12\n\x04name\x18\x01 \x01(\tR\x04name\x12\x1a\n\x08datatype\x18\x02 \x01(\tR\x08datatyp'
    b'e\x12\x14\n\x05shape\x18\x03 \x03(\x03R\x05shape\x12_\n\nparameters\x18\x04 \x03(\x0b2?.inference.ModelInf'
    b'erResponse.InferOutputTensor.ParametersEntryR\nparameters\x12:\n\x08cont'
    b'ents\x18\x05 \x01(\x0b2\x1e.inference.InferTensorContentsR\x08contents\x1aX\n\x0fParamete'
    b'rsEntry\x12\x10\n\x03key\x18\x01 \x01(\tR\x03key\x12/\n\x05value\x18\x02 \x01(\x0b2\x19.inference.InferParame'
    b'terR\x05value:\x028\x01\x1aX\n\x0fParametersEntry\x12\x10\n\x03key\x18\x01 \x01(\tR\x03key\x12/\n\x05value\x18\x02 \x01'
    b'(\x0b2\x19.inference.InferParameterR\x05value:\x028\x01"\xd7\x01\n\x0eInferParameter\x12\x1f\n\nb'
    b'ool_param\x18\x01 \x01(\x08H\x00R\tboolParam\x12!\n\x0bint64_param\x18\x02 \x01(\x03H\x00R\nint64Param\x12'
    b'#\n\x0cstring_param\x18\x03 \x01(\tH\x00R\x0bstringParam\x12#\n\x0cdouble_param\x18\x04 \x01(\x01H\x00R\x0bdo'
    b'ubleParam\x12#\n\x0cuint64_param\x18\x05 \x01(\x04H\x00R\x0buint64ParamB\x12\n\x10parameter_choi'
    b'ce"\xc3\x02\n\x13InferTensorContents\x12#\n\rbool_contents\x18\x01 \x03(\x08R\x0cboolContents\x12'
    b'!\n\x0cint_contents\x18\x02 \x03(\x05R\x0bintContents\x12%\n\x0eint64_contents\x18\x03 \x03(\x03R\rint6'
    b"4Contents\x12#\n\ruint_contents\x18\x04 \x03(\rR\x0cuintContents\x12'\n\x0fuint64_content"
    b's\x18\x05 \x03(\x04R\x0euint64Contents\x12#\n\rfp32_contents\x18\x06 \x03(\x02R\x0cfp32Contents\x12#\n\r'
    b'fp64_contents\x18\x07 \x03(\x01R\x0cfp64Contents\x12%\n\x0ebytes_contents\x18\x08 \x03(\x0cR\rbytes'
    b'Contents2\xf0\x03\n\x14GRPCInferenceService\x12I\n\nServerLive\x12\x1c.inference.Serv'
    b'erLiveRequest\x1a\x1d.inference.ServerLiveResponse\x12L\n\x0bServerReady\x12\x1d.in'
    b'ference.ServerReadyRequest\x1a\x1e.inference.ServerReadyResponse\x12I\n\nMo'
    b'delReady\x12\x1c.inference.ModelReadyRequest\x1a\x1d.inference.ModelReadyRes'
    b'ponse\x12U\n\x0eServerMetadata\x12 .inference.ServerMetadataRequest\x1a!.infe'
    b'rence.ServerMetadataResponse\x12R\n\rModelMetadata\x12\x1f.inference.ModelM'
    b'etadataRequest\x1a .inference.ModelMetadataResponse\x12I\n\nModelInfer\x12\x1c'
    b'.inference.ModelInferRequest\x1a\x1d.inference.ModelInferResponseb\x06pro'
    b'to3'
)
ServerLiveRequest = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["ServerLiveRequest"])
ServerLiveResponse = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["ServerLiveResponse"])
ServerReadyRequest = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["ServerReadyRequest"])
ServerReadyResponse = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["ServerReadyResponse"])
ModelReadyRequest = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["ModelReadyRequest"])
ModelReadyResponse = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["ModelReadyResponse"])
ServerMetadataRequest = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["ServerMetadataRequest"])
ServerMetadataResponse = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["ServerMetadataResponse"])
ModelMetadataRequest = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["ModelMetadataRequest"])
ModelMetadataResponse = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["ModelMetadataResponse"])
ModelInferRequest = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["ModelInferRequest"])
ModelInferResponse = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["ModelInferResponse"])
InferParameter = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["InferParameter"])
InferTensorContents = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["InferTensorContents"])
