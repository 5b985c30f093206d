// Martlet: the library to import. It loads models, runs every task that the command runs, and re-exports by name what
// its users need of the targets below. Knows no command line and no server; plans and trains nothing (products of their
// own).

@_exported public import MartletTokenizers

@_exported public import struct MartletConstraints.ConstraintError
@_exported public import enum MartletConstraints.OutputConstraint
@_exported public import struct MartletFormats.ConfigError
@_exported public import struct MartletFormats.FormatError
@_exported public import struct MartletGeneration.BeamSearch
@_exported public import enum MartletGeneration.CacheType
@_exported public import enum MartletGeneration.FinishReason
@_exported public import struct MartletGeneration.GenerationError
@_exported public import struct MartletGeneration.SampledToken
@_exported public import struct MartletGeneration.Sampling
@_exported public import struct MartletGeneration.TokenRules
@_exported public import enum MartletJSON.JSON
@_exported public import struct MartletJSON.JSONError
@_exported public import struct MartletJSON.JSONObject
@_exported public import struct MartletLayers.Architecture
@_exported public import struct MartletModels.CheckpointError
@_exported public import struct MartletModels.ModelError
@_exported public import struct MartletModels.ModelFile
@_exported public import struct MartletModels.UnsupportedArchitecture
@_exported public import enum MartletPlanning.FileType
@_exported public import struct MartletPlatform.FileError
@_exported public import protocol MartletPlatform.MartletError
@_exported public import struct MartletQuantization.QuantizationError
@_exported public import struct MartletQuantization.QuantizationReport
@_exported public import struct MartletTasks.Answerer
@_exported public import struct MartletTasks.Classifier
@_exported public import struct MartletTasks.Embedder
@_exported public import struct MartletTasks.MaskFiller
@_exported public import struct MartletTasks.Reranker
@_exported public import struct MartletTasks.Tagger
@_exported public import struct MartletTasks.TaskError
@_exported public import struct MartletTasks.Writer
@_exported public import struct MartletTasks.WriterSettings
@_exported public import struct MartletTemplates.ChatTemplate
@_exported public import struct MartletTemplates.TemplateError
@_exported public import class MartletTensors.Device
@_exported public import enum MartletTensors.ElementType
