# Has the Bitrise CLI validate every YAML snippet of the documentation, as a user would paste it.
#
#   ruby e2e/snippets.rb FILE...
#
# A snippet is a whole bitrise.yml, or the part that begins with `workflows:` or with a list of steps.
# Prints one line for each that the CLI refuses, and how many there were; exits with 1 if any was.

require "open3"
require "tempfile"
require "yaml"

# So that the CLI asks nobody.
OFFLINE = { "CI" => "true", "BITRISE_OFFLINE_MODE" => "true" }.freeze

HEAD = { "format_version" => "23", "project_type" => "ios" }.freeze

def whole(snippet)
  return snippet if snippet.key?("format_version")
  return HEAD.merge(snippet) if snippet.key?("workflows")

  raise "a map that is neither a bitrise.yml nor its workflows"
end

def config(text)
  parsed = YAML.safe_load(text)
  return HEAD.merge("workflows" => { "snippet" => { "steps" => parsed } }) if parsed.is_a?(Array)

  whole(parsed)
end

def refusal(text)
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
refused = ARGV.sum do |path|
  File.read(path).scan(/^( *)```ya?ml\n(.*?)^ *```$/m).count do |indent, text|
    count += 1
    why = refusal(text.gsub(/^#{indent}/, ""))
    warn "#{path}: a snippet is refused:\n#{text}\n#{why}" if why
    why
  end
end
puts "#{count} snippets of the documentation, #{refused} refused by the Bitrise CLI"
exit 1 if refused.positive? || count.zero?
