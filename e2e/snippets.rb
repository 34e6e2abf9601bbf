# Validates every YAML snippet in the documentation with the Bitrise CLI.
#
#   ruby e2e/snippets.rb FILE...
#
# A snippet is a complete bitrise.yml, a part that starts with `workflows:`, or a list of Steps. Prints each
# snippet that the CLI rejects, and a total. Exits with status 1 if the CLI rejects a snippet or if there are none.

require "open3"
require "tempfile"
require "yaml"

# Keeps the CLI from prompting and from sending analytics.
OFFLINE = { "CI" => "true", "BITRISE_OFFLINE_MODE" => "true" }.freeze

HEAD = { "format_version" => "23", "project_type" => "ios" }.freeze

def complete(snippet)
  return snippet if snippet.key?("format_version")
  return HEAD.merge(snippet) if snippet.key?("workflows")

  raise "the snippet has neither `format_version` nor `workflows`"
end

def config(text)
  parsed = YAML.safe_load(text)
  return HEAD.merge("workflows" => { "snippet" => { "steps" => parsed } }) if parsed.is_a?(Array)

  complete(parsed)
end

def validation_error(text)
  Tempfile.create(["snippet", ".yml"]) do |file|
    file.write(YAML.dump(config(text)))
    file.close
    output, status = Open3.capture2e(OFFLINE, "bitrise", "validate", "--config", file.path)
    status.success? ? nil : output
  end
rescue Psych::SyntaxError, RuntimeError => e
  e.message
end

count = 0
rejected = ARGV.sum do |path|
  File.read(path).scan(/^( *)```ya?ml\n(.*?)^ *```$/m).count do |indent, text|
    count += 1
    error = validation_error(text.gsub(/^#{indent}/, ""))
    warn "#{path}: the Bitrise CLI rejects this snippet:\n#{text}\n#{error}" if error
    error
  end
end
puts "#{count} snippets in the documentation, #{rejected} rejected by the Bitrise CLI"
exit 1 if rejected.positive? || count.zero?
